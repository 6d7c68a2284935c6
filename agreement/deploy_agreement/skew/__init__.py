"""Where training and serving prepare raw bytes in different ways."""
