//! The word that the server is to end.

use tokio::sync::watch;

/// Returns when the server stops.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, and the server with it.
    let _ = stop.wait_for(|stopped| *stopped).await;
}
