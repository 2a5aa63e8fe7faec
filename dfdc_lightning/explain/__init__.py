"""Where a detector looks: Grad-CAM maps, the pictures of them, and what they say of a whole test set."""
