"""The network of the paper: coordinates, the INR, the Transformer UNet, feedback (section 3)."""
