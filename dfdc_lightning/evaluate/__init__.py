"""Score finished runs on videos they were not trained on: other caches and corrupted copies of videos."""
