//! The end of TCP connections, which often nobody reads: who closes first sees no end.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::helpers::generated::bpf_ktime_get_boot_ns;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use observer_common::loss::LossCause;
use observer_common::process::ProcessKey;
use observer_common::record::{RecordHeader, RecordKind};
use observer_common::stream::StreamKind;

use crate::emit;
use crate::maps::{DATA, STREAMS};
use crate::settings::*;
use crate::streams::{self, AF_INET, AF_INET6};
use crate::user_copy::kernel;

const TCP_ESTABLISHED: u32 = 1;
const TCP_CLOSE: u32 = 7;
const TCP_CLOSE_WAIT: u32 = 8;
/// Shut down both ways.
const SHUTDOWN_MASK: u8 = 3;

/// `inet_sock_set_state(const struct sock *sk, const int oldstate, const int newstate)`, all kernels.
#[btf_tracepoint(function = "inet_sock_set_state")]
pub fn socket_state(context: BtfTracePointContext) -> i32 {
    if context.arg::<u32>(2) == TCP_CLOSE {
        // Read as plain memory: the verifier lets nobody compute with an argument that it knows for a pointer.
        if let Some(sock) = kernel::<u64>(context.as_ptr() as u64) {
            closed(sock, context.arg(1));
        }
    }
    0
}

#[inline(always)]
fn closed(sock: u64, old_state: u32) {
    let family = kernel::<u16>(member(sock, &SOCK_FAMILY)).unwrap_or(0);
    if family != AF_INET && family != AF_INET6 {
        return;
    }
    let Some(key) = streams::ports_of(sock) else { return };
    let stream = streams::number_of(StreamKind::Tcp, key, sock);
    let Some(state) = STREAMS.get_ptr_mut(&stream) else { return };
    // SAFETY: a live map value.
    let state = unsafe { &mut *state };
    // SAFETY: no conditions.
    state.closed_ns = unsafe { bpf_ktime_get_boot_ns() };
    if state.opened == 0 || state.ended != 0 || is_held(sock, old_state) {
        return;
    }
    state.ended = 1;
    end(stream, state.received, state.closed_ns);
}

/// Whether a process still has the socket: it can read what has arrived, and then the end.
#[inline(always)]
fn is_held(sock: u64, old_state: u32) -> bool {
    if kernel::<u64>(member(sock, &SOCK_SOCKET)).unwrap_or(0) == 0 {
        return false;
    }
    // Closed with bytes unread, a connection is reset before the process lets go of it.
    let is_reset =
        (old_state == TCP_ESTABLISHED || old_state == TCP_CLOSE_WAIT) && !is_absent(&SOCK_SHUTDOWN);
    !(is_reset && kernel::<u8>(member(sock, &SOCK_SHUTDOWN)) == Some(SHUTDOWN_MASK))
}

/// Writes the end of a stream that no process has read: this runs in whatever process is current.
#[inline(always)]
fn end(stream: u64, position: u64, at_ns: u64) {
    let Some(mut room) = DATA.reserve::<RecordHeader>(0) else {
        return emit::lost(LossCause::RingFull, 1, 0);
    };
    let record = room.as_mut_ptr();
    // SAFETY: the ring gave memory of this size.
    unsafe {
        emit::begin(record, RecordKind::StreamEnded, at_ns);
        (*record).position = position;
        (*record).process = ProcessKey { pid: 0, tid: 0, started_ns: 0 };
        (*record).stream = stream;
    }
    room.submit(0);
}
