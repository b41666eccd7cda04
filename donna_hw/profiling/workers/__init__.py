"""Workers that hold a device and run trials: in this process, in a subprocess, or on a Ray cluster."""
