"""Small breaks of the code, each with the tests that must fail by it. `make mutations` tries them all.

A test is trusted once it has failed. Each file beside this one lists the breaks of a part of slosh; add a row where
you add clever code, and mend a row where you change its line.
"""
