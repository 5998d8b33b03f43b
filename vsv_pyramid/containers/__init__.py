"""Files that hold slides: how their base level is stored, and its tiles as they are in there."""
