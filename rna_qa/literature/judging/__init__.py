"""Whether what a build wrote is good: samples to be judged by a reader, and the precision."""
