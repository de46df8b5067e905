"""
MongooseIM's configuration of ``mod_event_pusher``, read and written as ours: ``event-pusher init --from FILE``.

==============  ================================================================
``erlang``      the terms of the older ``mongooseim.cfg``, as Python values
``reading``     either kind of file becomes one `Model`
``converting``  the `Model` becomes our sections; what has no counterpart is told
``writing``     sections as TOML
``file``        the whole file, commented
==============  ================================================================

Secrets are never copied: each becomes ``{ file = "NAME" }``, and what belongs into that file is told.
"""

from event_pusher.mongooseim.converting import Converted, convert
from event_pusher.mongooseim.file import compose
from event_pusher.mongooseim.reading import read_model

__all__ = ["Converted", "compose", "convert", "read_model"]
