//! TLS in the kernel: a connection whose ends write and read plaintext by plain system calls.

use std::os::fd::AsFd;

use anyhow::{Context as _, Result};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{TcpTlsRx, TcpTlsTx, TcpUlp, TlsCryptoInfo};

/// Lets the kernel encrypt what `sender` sends, and decrypt it for `receiver`. There is no handshake: both ends are
/// this process's, and the key is no secret.
pub fn encrypt(sender: &impl AsFd, receiver: &impl AsFd) -> Result<()> {
    let key = TlsCryptoInfo::Aes128Gcm(libc::tls12_crypto_info_aes_gcm_128 {
        info: libc::tls_crypto_info {
            version: libc::TLS_1_2_VERSION,
            cipher_type: libc::TLS_CIPHER_AES_GCM_128,
        },
        iv: [1; 8],
        key: [2; 16],
        salt: [3; 4],
        rec_seq: [0; 8],
    });
    for end in [sender.as_fd(), receiver.as_fd()] {
        setsockopt(&end, TcpUlp::default(), b"tls").context("this kernel has no TLS")?;
    }
    setsockopt(sender, TcpTlsTx, &key).context("the key of the sender")?;
    setsockopt(receiver, TcpTlsRx, &key).context("the key of the receiver")
}
