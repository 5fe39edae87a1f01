"""`python -m slosh` is the command `slosh`."""

from slosh.cli import main

if __name__ == "__main__":
    main(prog_name="python -m slosh")
