//! The server as its clients see it, in process (no sockets) unless a test is about the socket.

mod apply;
mod deletion;
mod harness;
mod lists;
mod objects;
mod paths;
mod security;
mod sockets;
mod watches;
