"""Where files lie: an address, a bucket. Each brings a file here, or lists what is there."""
