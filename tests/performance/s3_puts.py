"""What the S3 add is compared with: s3fs putting the given files, four at a time. Prints JSON."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.performance.engine import Measured
from tests.services.s3 import BUCKET, KEY, SECRET


def main(endpoint: str, *files: str) -> Measured:
    """Put the files as objects of their own."""
    import s3fs

    contents = [Path(name).read_bytes() for name in files]
    file_system = s3fs.S3FileSystem(key=KEY, secret=SECRET, endpoint_url=endpoint)
    file_system.ls(BUCKET)
    began, cpu = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: file_system.pipe_file(f"{BUCKET}/puts/{n}", contents[n]), range(len(contents))))
    return Measured(wall=time.perf_counter() - began, cpu=time.process_time() - cpu, rss_mib=0, grown_mib=0)


if __name__ == "__main__":
    sys.stdout.write(main(*sys.argv[1:]).model_dump_json())
