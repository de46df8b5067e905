"""
What an operator asks, and where: the control socket of the running process, or the database when none runs.

=============  =====================================================================
``desk``       the commands, one method each: JSON in, JSON out
``live``       … in the running process, through the core
``offline``    … over the database alone
``overview``   what ``status`` tells of the running process
``story``      what became of a delivery, and what comes next
``records``    registrations, masked, exported, imported
``explain``    why an account gets pushes, or why not
``metrics``    the counters as Prometheus wants them
``http``       the listener: commands, /metrics, /healthz, /readyz
``client``     the command line's end of it
=============  =====================================================================
"""
