"""What a run saves, so that another machine can resume it."""
