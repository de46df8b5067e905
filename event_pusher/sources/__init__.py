"""Where events come from, each an `abc.Source` behind the entry-point group ``event_pusher.sources``."""
