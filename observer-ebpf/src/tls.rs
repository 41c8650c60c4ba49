//! Library calls shaped (object, buffer, length), by attach cookie.
//!
//! The entry stores what the function was called with, the return consumes it: attached twice, the second entry
//! overwrites the first and the second return finds nothing, so no bytes count twice.
//!
//! These programs may be preempted, and newer kernels give a program with 64 bytes of stack or more a stack that
//! all tasks on a CPU share. So all of them stay below that, functions included: what they work on lies in the
//! map entry of the call, and each step is a function of its own that takes nothing but that entry.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::helpers::generated::{bpf_get_attach_cookie, bpf_ktime_get_boot_ns, bpf_probe_read_user};
use aya_ebpf::macros::{uprobe, uretprobe};
use aya_ebpf::programs::{ProbeContext, RetProbeContext};
use observer_common::loss::LossCause;
use observer_common::record::RecordKind;
use observer_common::settings::TlsFunction;
use observer_common::stream::{StreamIdentity, StreamKind, Verdict};
use observer_common::table::StreamState;

use crate::bound;
use crate::call::{self, Call};
use crate::copy;
use crate::emit;
use crate::maps::{CALLS, STREAMS, TLS_OBJECTS};
use crate::moved::{self, Direction};
use crate::streams;
use crate::verdict::{self, Head, Treatment};

/// What a library function was called with.
#[repr(C)]
pub struct Arguments {
    /// The connection, as the library's object.
    pub object: u64,
    pub buffer: u64,
    pub length: u64,
    /// Where the function stores the count; zero if it returns it.
    pub count_at: u64,
    pub entered_ns: u64,
    pub library: u64,
    /// The object's key in the table of objects.
    pub object_key: u64,
}

/// For kernels with `uprobe.multi` (6.6).
#[uprobe(multi)]
pub fn tls_entry_multi(context: ProbeContext) -> u32 {
    enter(&context);
    0
}

#[uretprobe(multi)]
pub fn tls_exit_multi(context: RetProbeContext) -> u32 {
    leave::<true>(&context);
    0
}

/// For older kernels, from 5.15 on: before that, there are no cookies.
#[uprobe]
pub fn tls_entry(context: ProbeContext) -> u32 {
    enter(&context);
    0
}

#[uretprobe]
pub fn tls_exit(context: RetProbeContext) -> u32 {
    leave::<true>(&context);
    0
}

/// For kernels without `bpf_loop`.
#[uretprobe]
pub fn tls_exit_flat(context: RetProbeContext) -> u32 {
    leave::<false>(&context);
    0
}

const READ: u64 = TlsFunction::Read as u64;
const WRITE: u64 = TlsFunction::Write as u64;
const READ_EX: u64 = TlsFunction::ReadEx as u64;
const WRITE_EX: u64 = TlsFunction::WriteEx as u64;
const FREE: u64 = TlsFunction::Free as u64;

#[inline(always)]
fn enter(context: &ProbeContext) {
    // SAFETY: the kernel gave this context.
    let cookie = unsafe { bpf_get_attach_cookie(context.as_ptr()) };
    let function = cookie & 0xff;
    let key = call::key_of(function);
    let Some(call) = call::new_call(&key, 0) else { return };
    call.library.object = context.arg(0).unwrap_or(0);
    call.library.buffer = context.arg(1).unwrap_or(0);
    call.library.length = context.arg(2).unwrap_or(0);
    if function == READ_EX || function == WRITE_EX {
        call.library.count_at = context.arg(3).unwrap_or(0);
    } else {
        // An `int`; the upper half of the register may hold anything.
        call.library.length &= 0x7fff_ffff;
    }
    call.library.library = cookie >> 8 & 0xff;
    name_object(call);
    if function == FREE {
        end_object(call);
        let _ = CALLS.remove(&key);
        return;
    }
    name_stream(call);
    if function == WRITE || function == WRITE_EX {
        bound::writing(call);
    }
}

#[inline(always)]
fn leave<const LOOP: bool>(context: &RetProbeContext) {
    // SAFETY: the kernel gave this context.
    let function = unsafe { bpf_get_attach_cookie(context.as_ptr()) } & 0xff;
    let key = call::key_of(function);
    let Some(call) = CALLS.get_ptr_mut(&key) else { return };
    // SAFETY: only this thread uses the entry.
    let call = unsafe { &mut *call };
    // An `int`, as above.
    let result = context.ret::<u64>() as i32;
    call.header.kind =
        if function == READ || function == READ_EX { RecordKind::Received } else { RecordKind::Sent } as u16;
    call.left = if result > 0 { result as u64 } else { 0 };
    if call.library.count_at != 0 && result > 0 {
        count_at(call);
    }
    call.moved = call.left;
    let wanted = call.left != 0 && is_to_be_recorded::<LOOP>(call);
    bound::left(call);
    if wanted {
        record::<LOOP>(call);
    }
    let _ = CALLS.remove(&key);
}

/// Reads how many bytes a function moved from where it stored it.
#[inline(always)]
fn count_at(call: &mut Call) {
    call.left = 0;
    let at = call.library.count_at;
    // SAFETY: a word of a live map value.
    if unsafe { bpf_probe_read_user((&raw mut call.left).cast(), 8, at as *const _) } != 0 {
        emit::lost(LossCause::UserMemoryFault, 1, 0);
    }
}

/// Names the object: its address, made unique by its process.
#[inline(never)]
fn name_object(call: &mut Call) {
    call::fill_process(call);
    // SAFETY: no conditions.
    call.library.entered_ns = unsafe { bpf_ktime_get_boot_ns() };
    let process = streams::mix(u64::from(call.header.process.pid), call.header.process.started_ns);
    call.library.object_key = streams::number_of(StreamKind::Tls, process, call.library.object);
}

/// Names the stream of the object. An address is used again after its object is freed, so that the time of the
/// first call goes into the number.
#[inline(never)]
fn name_stream(call: &mut Call) {
    if let Some(known) = TLS_OBJECTS.get_ptr(&call.library.object_key) {
        // SAFETY: a live map value.
        call.header.stream = unsafe { (*known)[0] };
        return;
    }
    call.header.stream = streams::mix(call.library.object_key, call.library.entered_ns);
    call.scratch[0] = call.header.stream;
    call.scratch[1] = u64::from(call.header.process.pid);
    // SAFETY: the scratch has these words.
    let value = unsafe { &*(&raw const call.scratch).cast::<[u64; 2]>() };
    if TLS_OBJECTS.insert(&call.library.object_key, value, 0).is_err() {
        emit::lost(LossCause::StreamTableFull, 1, 0);
    }
}

/// The object is freed: its stream ends.
#[inline(never)]
fn end_object(call: &mut Call) {
    let Some(known) = TLS_OBJECTS.get_ptr(&call.library.object_key) else { return };
    // SAFETY: a live map value.
    call.header.stream = unsafe { (*known)[0] };
    let _ = TLS_OBJECTS.remove(&call.library.object_key);
    let Some(state) = STREAMS.get_ptr_mut(&call.header.stream) else { return };
    // SAFETY: a live map value.
    let state = unsafe { &mut *state };
    state.closed_ns = call.library.entered_ns;
    if state.opened != 0 && state.ended == 0 {
        state.ended = 1;
        let at_ns = call.library.entered_ns;
        // SAFETY: a live map value.
        unsafe { emit::begin(&raw mut call.header, RecordKind::StreamEnded, at_ns) };
        call.header.position = state.received;
        emit::count(call, 0);
    }
}

/// Prepares the record of what the call moved, if there is to be one.
#[inline(always)]
fn is_to_be_recorded<const FETCH: bool>(call: &mut Call) -> bool {
    stamp(call);
    if !is_wanted::<FETCH>(call) {
        return false;
    }
    open(call);
    true
}

/// Records the plaintext that the call moved. Both directions carry it: there may be no other end to see.
#[inline(always)]
fn record<const LOOP: bool>(call: &mut Call) {
    call.segment = call.library.buffer;
    call.segment_left = call.left;
    call.with_bytes = 1;
    copy::run::<LOOP>(call);
}

/// What is sent is stamped with the time of the entry: an answer may be read by another thread before the
/// sending function has returned.
#[inline(never)]
fn stamp(call: &mut Call) {
    let kind =
        if call.header.kind == RecordKind::Sent as u16 { RecordKind::Sent } else { RecordKind::Received };
    let at_ns = match kind {
        RecordKind::Sent => call.library.entered_ns,
        // SAFETY: no conditions.
        _ => unsafe { bpf_ktime_get_boot_ns() },
    };
    // SAFETY: a live map value.
    unsafe { emit::begin(&raw mut call.header, kind, at_ns) };
}

/// Positions and verdict. Returns whether the bytes are recorded.
#[inline(never)]
fn is_wanted<const FETCH: bool>(call: &mut Call) -> bool {
    let Some(state) = streams::entry(&call.header.stream, StreamKind::Tls) else {
        emit::lost(LossCause::StreamTableFull, 1, call.left);
        return false;
    };
    moved::touch(state, call.header.at_ns);
    verdict::apply_decision(state, &call.header.stream);
    let direction =
        if call.header.kind == RecordKind::Sent as u16 { Direction::Sent } else { Direction::Received };
    call.header.position = moved::advance::<FETCH>(state, direction, call.left);
    state.verdict == Verdict::Capture as u32 || judge(state, call)
}

#[inline(always)]
fn judge(state: &mut StreamState, call: &mut Call) -> bool {
    let len = if call.left < 8 { call.left } else { 8 };
    call.scratch[0] = 0;
    let from = call.library.buffer;
    crate::user_copy::user_bytes::<8>((&raw mut call.scratch).cast(), len, from);
    let head = Head { bytes: call.scratch[0], len };
    verdict::judge(state, head, call.left, true) == Treatment::Record
}

/// Tells of the stream before its first bytes.
#[inline(never)]
fn open(call: &mut Call) {
    let Some(state) = STREAMS.get_ptr_mut(&call.header.stream) else { return };
    // SAFETY: a live map value.
    let state = unsafe { &mut *state };
    if state.opened == 0 && emit::opened(call, |into| identity(call, into)) {
        state.opened = 1;
    }
}

#[inline(always)]
fn identity(call: &Call, into: *mut StreamIdentity) {
    // SAFETY: ring memory of this size; every byte is written.
    let identity = unsafe { &mut *into };
    identity.kind = StreamKind::Tls as u32;
    identity.device = call.library.library as u32;
    identity.inode = call.library.object_key;
    identity.peer_inode = 0;
    identity.generation = call.header.stream;
    identity.network_namespace = 0;
    identity.local_port = 0;
    identity.peer_port = 0;
    identity.local = [0; 16];
    identity.peer = [0; 16];
}
