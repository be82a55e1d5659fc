//! Host ports of pods with an own network: a userland proxy in the agent.
//!
//! Limits: connections end when the agent ends (the ports come back with the next one), and the pod sees the node's
//! address as the peer.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream, UdpSocket},
    task::JoinSet,
};

use crate::runtime::{Protocol, record::SandboxRecord};

/// A peer of a UDP port is forgotten after this silence.
const UDP_IDLE: Duration = Duration::from_secs(120);
/// Peers of one UDP port at most.
const UDP_PEERS_MAX: usize = 1024;

/// Running forwards; they end with this value.
#[derive(Debug)]
pub(super) struct Forwards {
    _tasks: JoinSet<()>,
}

/// Opens the host ports of a pod; `None` when it has none. The words name the port that is taken.
pub(super) async fn forward(record: &SandboxRecord) -> Result<Option<Forwards>, String> {
    let Some(address) = record.address.as_ref().filter(|_| !record.spec.port_mappings.is_empty()) else {
        return Ok(None);
    };
    let mut tasks = JoinSet::new();
    for mapping in record.spec.port_mappings.iter().filter(|m| m.host_port > 0) {
        let ip = mapping.host_ip.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let here = SocketAddr::new(ip, mapping.host_port);
        let pod = SocketAddr::new(IpAddr::V4(address.ip), mapping.container_port);
        let taken = |e: std::io::Error| format!("cannot open host port {here}: {e}");
        match mapping.protocol {
            Protocol::Tcp => {
                let listener = TcpListener::bind(here).await.map_err(taken)?;
                tasks.spawn(tcp(listener, pod));
            }
            Protocol::Udp => {
                let socket = UdpSocket::bind(here).await.map_err(taken)?;
                tasks.spawn(udp(Arc::new(socket), pod));
            }
        }
    }
    Ok(Some(Forwards { _tasks: tasks }))
}

async fn tcp(listener: TcpListener, pod: SocketAddr) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((mut client, _)) => {
                    connections.spawn(async move {
                        if let Ok(mut server) = TcpStream::connect(pod).await {
                            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                        }
                    });
                }
                // Out of descriptors: others have to close first.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
        }
    }
}

async fn udp(socket: Arc<UdpSocket>, pod: SocketAddr) {
    let peers: Arc<Mutex<BTreeMap<SocketAddr, Arc<UdpSocket>>>> = Arc::default();
    let mut answers = JoinSet::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let Ok((n, peer)) = socket.recv_from(&mut buffer).await else { continue };
        while answers.try_join_next().is_some() {}
        let known = peers.lock().unwrap_or_else(PoisonError::into_inner).get(&peer).cloned();
        let to_pod = match known {
            Some(known) => known,
            None => {
                let room = peers.lock().unwrap_or_else(PoisonError::into_inner).len() < UDP_PEERS_MAX;
                let Some(fresh) = (if room { connect(pod).await } else { None }) else { continue };
                peers.lock().unwrap_or_else(PoisonError::into_inner).insert(peer, Arc::clone(&fresh));
                let (socket, peers, from_pod) = (Arc::clone(&socket), Arc::clone(&peers), Arc::clone(&fresh));
                answers.spawn(async move {
                    let mut buffer = vec![0; 64 << 10];
                    while let Ok(Ok(n)) = tokio::time::timeout(UDP_IDLE, from_pod.recv(&mut buffer)).await {
                        let _ = socket.send_to(buffer.get(..n).unwrap_or_default(), peer).await;
                    }
                    peers.lock().unwrap_or_else(PoisonError::into_inner).remove(&peer);
                });
                fresh
            }
        };
        let _ = to_pod.send(buffer.get(..n).unwrap_or_default()).await;
    }
}

async fn connect(pod: SocketAddr) -> Option<Arc<UdpSocket>> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await.ok()?;
    socket.connect(pod).await.ok()?;
    Some(Arc::new(socket))
}
