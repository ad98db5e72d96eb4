"""``python -m graphrec``: the command line without the installed script."""

from graphrec.cli import main

main(prog_name='graphrec')
