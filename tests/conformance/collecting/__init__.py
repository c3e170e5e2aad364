"""What the collector's output is compared with, one module an idea."""
