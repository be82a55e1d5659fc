//! The server as its clients see it, in process (no sockets) unless a test is about the socket.

mod harness;
mod objects;
