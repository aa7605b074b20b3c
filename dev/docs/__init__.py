"""What writes the reference pages of docs/ from the code: python -m dev.docs writes them all."""
