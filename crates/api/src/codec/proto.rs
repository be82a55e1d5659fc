//! Protobuf bodies (A190).
