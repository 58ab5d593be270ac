"""Updates over the air: images, campaigns that bring them to many devices, and what is said."""
