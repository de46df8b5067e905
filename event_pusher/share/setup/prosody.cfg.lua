-- event-pusher's part of Prosody's configuration, for $domain.
-- As a file of its own in conf.d/ it is right as it stands. In prosody.cfg.lua the `gc` line goes above the first
-- VirtualHost, the rest behind everything else.

-- Prosody's default collects garbage so often that it sets the pace: with this line twice as many pushes a second.
gc = { mode = "incremental", threshold = 200, speed = 200 }

VirtualHost "$domain"
  -- If this host has a modules_enabled of its own already, add "event_feed" there and drop this line.
  modules_enabled = { "event_feed" }
  event_feed_component = "$component"

Component "$component"
  component_secret = "$secret"
