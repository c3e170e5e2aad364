"""A slow second reading of NetFlow, IPFIX and sFlow, from the standards alone."""
