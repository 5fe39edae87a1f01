"""The commands of the command line, one file each. `slosh.cli` loads a command when it is called."""
