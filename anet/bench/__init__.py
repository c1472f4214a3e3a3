"""Speed, measured interleaved in one run on the machine at hand."""
