"""Images on oriented grids: geometry, files, resampling, views."""
