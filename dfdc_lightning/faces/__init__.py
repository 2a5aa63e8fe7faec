"""From videos to faces: detect them, follow a person, crop, keep the crops in a cache."""
