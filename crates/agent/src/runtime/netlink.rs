//! The few words of rtnetlink that pods and nodes need: bridges, veth pairs, addresses, routes.
//!
//! A socket belongs to the network namespace in which it was opened, also when the process moves on; so one process can
//! connect two namespaces. Written by hand because it is six messages; blocking, each call waits for the kernel's answer.

use std::{
    fs::File,
    io,
    net::Ipv4Addr,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, socket,
};

use super::lock::Lock;

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_CREATE_EXCL: u16 = 0x600;
const NLM_F_CREATE_REPLACE: u16 = 0x500;
const IFF_UP: u32 = 1;
const AF_INET: u8 = 2;

/// A connection to the network configuration of one namespace.
#[derive(Debug)]
pub(crate) struct Netlink {
    socket: OwnedFd,
}

/// Waits for the turn to change a bridge of the calling thread's network namespace: who takes an unused one away must not meet who is
/// about to use it. Others wait, in other processes too.
pub(crate) fn bridge_turn() -> io::Result<Lock> {
    Lock::wait(File::open("/proc/thread-self/ns/net")?)
}

/// One message under construction.
struct Message(Vec<u8>);

impl Message {
    fn new(kind: u16, flags: u16, header: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&(flags | NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes());
        bytes.extend_from_slice(&1u32.to_ne_bytes());
        bytes.extend_from_slice(&0u32.to_ne_bytes());
        bytes.extend_from_slice(header);
        Self(bytes)
    }

    /// A message about a link: by name unless `index` is given.
    fn link(kind: u16, flags: u16, index: u32, up: bool) -> Self {
        Self::new(kind, flags, &ifinfo(index, up))
    }

    fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.0.extend_from_slice(&length.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    fn name(self, name: &str) -> Self {
        self.attribute(3, &zero_terminated(name))
    }

    /// An attribute that holds attributes (after `prefix`).
    fn nested(self, kind: u16, prefix: &[u8], fill: impl FnOnce(Self) -> Self) -> Self {
        let inner = fill(Self(prefix.to_vec()));
        self.attribute(kind, &inner.0)
    }

    fn finish(mut self) -> Vec<u8> {
        let length = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        if let Some(field) = self.0.get_mut(..4) {
            field.copy_from_slice(&length.to_ne_bytes());
        }
        self.0
    }
}

fn ifinfo(index: u32, up: bool) -> [u8; 16] {
    let mut header = [0; 16];
    let flags = if up { IFF_UP } else { 0 };
    for (at, word) in [(4, index), (8, flags), (12, flags)] {
        if let Some(field) = header.get_mut(at..at + 4) {
            field.copy_from_slice(&word.to_ne_bytes());
        }
    }
    header
}

fn zero_terminated(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    bytes
}

impl Netlink {
    /// Opens a connection to the namespace the calling thread is in.
    pub(crate) fn open() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        Ok(Self { socket })
    }

    /// Index of a link; `None` when there is none of that name.
    pub(crate) fn index(&self, name: &str) -> io::Result<Option<u32>> {
        let message = Message::link(RTM_GETLINK, 0, 0, false).name(name);
        match self.ask(message) {
            Ok(answer) => {
                let field = answer.get(20..24).and_then(|f| f.try_into().ok()).map(u32::from_ne_bytes);
                Ok(field.filter(|index| *index != 0))
            }
            Err(e) if e.raw_os_error() == Some(nix::libc::ENODEV) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Makes a bridge that is up and has an address, unless it is there; returns its index.
    pub(crate) fn ensure_bridge(&self, name: &str, address: Ipv4Addr, prefix_len: u8) -> io::Result<u32> {
        let message = Message::link(RTM_NEWLINK, NLM_F_CREATE_EXCL, 0, true)
            .name(name)
            .nested(18, &[], |info| info.attribute(1, b"bridge"));
        ignore(self.ask(message), nix::libc::EEXIST)?;
        let index = self.index(name)?.ok_or_else(|| io::Error::other(format!("bridge {name} vanished")))?;
        self.add_address(index, address, prefix_len)?;
        self.set_up(index)?;
        Ok(index)
    }

    /// Makes a veth pair: one end here under `name`, up, and in the bridge `master` if given; the other as `peer` in the
    /// namespace `peer_namespace`.
    pub(crate) fn add_veth(
        &self,
        name: &str,
        master: Option<u32>,
        peer: &str,
        peer_namespace: BorrowedFd<'_>,
    ) -> io::Result<()> {
        let mut message = Message::link(RTM_NEWLINK, NLM_F_CREATE_EXCL, 0, true).name(name);
        if let Some(master) = master {
            message = message.attribute(10, &master.to_ne_bytes());
        }
        let namespace = u32::try_from(peer_namespace.as_raw_fd()).map_err(io::Error::other)?;
        let message = message.nested(18, &[], |info| {
            info.attribute(1, b"veth").nested(2, &[], |data| {
                data.nested(1, &ifinfo(0, false), |end| end.name(peer).attribute(28, &namespace.to_ne_bytes()))
            })
        });
        self.ask(message).map(drop)
    }

    /// Gives a link an IPv4 address.
    pub(crate) fn add_address(&self, index: u32, address: Ipv4Addr, prefix_len: u8) -> io::Result<()> {
        let mut header = vec![AF_INET, prefix_len, 0, 0];
        header.extend_from_slice(&index.to_ne_bytes());
        let message = Message::new(RTM_NEWADDR, NLM_F_CREATE_REPLACE, &header)
            .attribute(2, &address.octets())
            .attribute(1, &address.octets());
        ignore(self.ask(message), nix::libc::EEXIST)
    }

    /// Switches a link on.
    pub(crate) fn set_up(&self, index: u32) -> io::Result<()> {
        self.ask(Message::link(RTM_NEWLINK, 0, index, true)).map(drop)
    }

    /// Adds a route to `to` (address, prefix length; 0.0.0.0/0 for the default one) via a neighbour.
    pub(crate) fn add_route(&self, to: (Ipv4Addr, u8), via: Ipv4Addr) -> io::Result<()> {
        // family, dst_len, src_len, tos, table main, protocol static, scope universe, type unicast, flags
        let header = [AF_INET, to.1, 0, 0, 254, 4, 0, 1, 0, 0, 0, 0];
        let mut message = Message::new(RTM_NEWROUTE, NLM_F_CREATE_REPLACE, &header).attribute(5, &via.octets());
        if to.1 > 0 {
            message = message.attribute(1, &to.0.octets());
        }
        self.ask(message).map(drop)
    }

    /// Removes a link; one that is not there is fine.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        ignore(self.ask(Message::link(RTM_DELLINK, 0, 0, false).name(name)), nix::libc::ENODEV)
    }

    /// Sends a message and reads the answer: an acknowledgement, or for a question the first message of it.
    fn ask(&self, message: Message) -> io::Result<Vec<u8>> {
        send(self.socket.as_raw_fd(), &message.finish(), MsgFlags::empty())?;
        let mut buffer = vec![0u8; 16 << 10];
        let mut first: Option<Vec<u8>> = None;
        loop {
            let n = recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
            let mut rest = buffer.get(..n).unwrap_or_default();
            while let (Some(length), Some(kind)) = (word(rest, 0), rest.get(4..6)) {
                let length = (length as usize).clamp(16, rest.len());
                let (this, next) = rest.split_at(length.next_multiple_of(4).min(rest.len()));
                rest = next;
                if kind != 2u16.to_ne_bytes() {
                    first.get_or_insert_with(|| this.to_vec());
                    continue;
                }
                let code = word(this, 16).map_or(0, |code| i32::from_ne_bytes(code.to_ne_bytes()));
                return if code == 0 {
                    Ok(first.unwrap_or_default())
                } else {
                    Err(io::Error::from_raw_os_error(-code))
                };
            }
        }
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4).and_then(|field| field.try_into().ok()).map(u32::from_ne_bytes)
}

fn ignore<T>(result: io::Result<T>, code: i32) -> io::Result<()> {
    match result {
        Err(e) if e.raw_os_error() != Some(code) => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_index_one_and_unknown_links_none() {
        let netlink = Netlink::open().unwrap();
        assert_eq!(netlink.index("lo").unwrap(), Some(1));
        assert_eq!(netlink.index("evn-nosuch").unwrap(), None);
    }

    #[test]
    fn one_at_a_time_changes_bridges() {
        let turn = bridge_turn().unwrap();
        let other = File::open("/proc/self/ns/net").unwrap();
        assert!(other.try_lock().is_err());
        drop(turn);
        // Another test may be at it.
        other.lock().unwrap();
    }

    #[test]
    fn attributes_are_padded_and_counted() {
        let bytes = Message::link(RTM_NEWLINK, 0, 7, true).name("abcd").finish();
        assert_eq!(bytes.len(), 16 + 16 + 12);
        assert_eq!(word(&bytes, 0), Some(44));
        assert_eq!(bytes.get(32..34), Some(9u16.to_ne_bytes().as_slice()));
    }
}
