"""Publishing models, data sets and Spaces to a Hub, and checking them as a stranger would."""
