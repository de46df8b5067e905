"""
The command line: ``event-pusher COMMAND``.

=============  =====================================================================
``root``       the table of commands; each module is imported when it is asked for
``frame``      what all commands share: ``-c``, ``--debug``, errors in one line
``output``     tables, ages, JSON
``opening``    settings, and whom to ask: the running process or the database
the others     one command, or one group of commands, each
=============  =====================================================================
"""

from event_pusher.cli.root import main

__all__ = ["main"]
