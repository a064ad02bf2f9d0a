"""Clips over HTTP, for programs: jobs on the disk, a process per worker, the shape of /v1/videos."""
