"""Training: losses, recipes, augmentation and one visible loop. Imports torch."""
