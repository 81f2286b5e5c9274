"""How the confined process asks for bytes: a request of offset and size, answered by a length and as many bytes."""

import struct

REQUEST = struct.Struct("<QI")
LENGTH = struct.Struct("<I")
