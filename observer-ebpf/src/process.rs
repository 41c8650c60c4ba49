//! Lifecycle of processes: exec, fork, exit; and what a process does that the agent should look into.

use aya_ebpf::helpers::generated::{
    bpf_get_current_pid_tgid, bpf_get_current_task, bpf_get_smp_processor_id, bpf_ktime_get_boot_ns,
    bpf_probe_read_kernel_str,
};
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use observer_common::control::{ARGUMENTS_MAX, BlindSpotKind, ControlKind, Exec, FILENAME_MAX, Mapped};
use observer_common::loss::LossCause;
use observer_common::record::{LAYOUT, RecordHeader};

use crate::emit::{self, With};
use crate::maps::{CONTROL, FILES};
use crate::settings::*;
use crate::streams;
use crate::user_copy::{kernel, user_bytes};

/// `sched_process_exec(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)`, all kernels.
#[btf_tracepoint(function = "sched_process_exec")]
pub fn process_exec(context: BtfTracePointContext) -> i32 {
    let task: u64 = context.arg(0);
    let program: u64 = context.arg(2);
    write::<Exec>(task, ControlKind::Exec, |exec| exec_facts(exec, task, program));
    0
}

/// `sched_process_fork(struct task_struct *parent, struct task_struct *child)`, all kernels.
#[btf_tracepoint(function = "sched_process_fork")]
pub fn process_fork(context: BtfTracePointContext) -> i32 {
    let parent: u64 = context.arg(0);
    let child: u64 = context.arg(1);
    if word(child, &TASK_PID) == word(child, &TASK_TGID) {
        write::<[u32; 2]>(child, ControlKind::Fork, |payload| {
            // SAFETY: ring memory of this size.
            unsafe { *payload = [word(parent, &TASK_TGID), 0] };
        });
    }
    0
}

/// `sched_process_exit(struct task_struct *p)`, and from 6.17 on `(…, bool group_dead)`.
#[btf_tracepoint(function = "sched_process_exit")]
pub fn process_exit(context: BtfTracePointContext) -> i32 {
    let task: u64 = context.arg(0);
    let signal = kernel::<u64>(member(task, &TASK_SIGNAL)).unwrap_or(0);
    // A thread has already been subtracted when it comes here.
    if signal != 0 && word(signal, &SIGNAL_LIVE) == 0 {
        write::<[u32; 2]>(task, ControlKind::Exit, |payload| {
            // SAFETY: ring memory of this size.
            unsafe { *payload = [word(task, &TASK_EXIT_CODE), 0] };
        });
    }
    0
}

#[inline(always)]
fn exec_facts(exec: *mut Exec, task: u64, program: u64) {
    // SAFETY: ring memory of this size; all that is not written is not told to count.
    let exec = unsafe { &mut *exec };
    let parent = kernel::<u64>(member(task, &TASK_REAL_PARENT)).unwrap_or(0);
    exec.parent = word(parent, &TASK_TGID);
    exec.filename_len = 0;
    exec.arguments_len = 0;
    exec.arguments_total = 0;
    if let Some(filename) = kernel::<u64>(member(program, &BPRM_FILENAME)) {
        let room = (&raw mut exec.filename).cast();
        // SAFETY: the room has this size.
        let len = unsafe { bpf_probe_read_kernel_str(room, FILENAME_MAX as u32, filename as *const _) };
        if len > 0 {
            exec.filename_len = len as u32 - 1;
        }
    }
    let Some(mm) = kernel::<u64>(member(task, &TASK_MM)) else { return };
    let start = kernel::<u64>(member(mm, &MM_ARG_START)).unwrap_or(0);
    let end = kernel::<u64>(member(mm, &MM_ARG_END)).unwrap_or(0);
    if start == 0 || end <= start {
        return;
    }
    let total = end - start;
    let len = if total < ARGUMENTS_MAX as u64 { total } else { ARGUMENTS_MAX as u64 };
    exec.arguments_total = total as u32;
    if user_bytes::<ARGUMENTS_MAX>((&raw mut exec.arguments).cast(), len, start) {
        exec.arguments_len = len as u32;
    }
}

/// Reports that the current process does what cannot be seen.
#[inline(never)]
pub fn blind_spot(kind: BlindSpotKind) {
    // SAFETY: no conditions.
    let task = unsafe { bpf_get_current_task() };
    write::<[u32; 2]>(task, ControlKind::BlindSpot, |payload| {
        // SAFETY: ring memory of this size.
        unsafe { *payload = [kind as u32, 0] };
    });
}

/// Reports a file that the current process mapped as code, unless it was seen before.
#[inline(always)]
pub fn mapped(file: u64, address: u64) {
    let Some(inode) = kernel::<u64>(member(file, &FILE_INODE)) else { return };
    let number = kernel::<u64>(member(inode, &INODE_INO)).unwrap_or(0);
    let file = streams::mix(number, u64::from(streams::device_of(inode).unwrap_or(0)));
    if FILES.get_ptr(&file).is_some() || FILES.insert(&file, &1, 0).is_err() {
        return;
    }
    // SAFETY: no conditions.
    let task = unsafe { bpf_get_current_task() };
    write::<Mapped>(task, ControlKind::Mapped, |payload| {
        // SAFETY: ring memory of this size.
        unsafe { *payload = Mapped { address, file } };
    });
}

/// Writes a record about a process to the control ring.
#[inline(always)]
fn write<T: 'static>(task: u64, kind: ControlKind, fill: impl FnOnce(*mut T)) {
    let Some(mut room) = CONTROL.reserve::<With<T>>(0) else {
        return emit::lost(LossCause::ControlRingFull, 1, size_of::<With<T>>() as u64);
    };
    let record = room.as_mut_ptr();
    // SAFETY: the ring gave memory of this size.
    unsafe {
        head(&raw mut (*record).header, task, kind, size_of::<T>() as u32);
        fill(&raw mut (*record).payload);
    }
    room.submit(0);
}

#[inline(always)]
unsafe fn head(header: *mut RecordHeader, task: u64, kind: ControlKind, payload_len: u32) {
    let leader = kernel::<u64>(member(task, &TASK_GROUP_LEADER)).unwrap_or(task);
    (*header).layout = LAYOUT;
    (*header).kind = kind as u16;
    (*header).payload_len = payload_len;
    (*header).moved_len = 0;
    (*header).cpu = bpf_get_smp_processor_id();
    (*header).at_ns = bpf_ktime_get_boot_ns();
    (*header).position = 0;
    (*header).process.pid = word(task, &TASK_TGID);
    (*header).process.tid = bpf_get_current_pid_tgid() as u32;
    (*header).process.started_ns = kernel::<u64>(member(leader, &TASK_START_BOOTTIME)).unwrap_or(0);
    (*header).stream = 0;
}

/// A 32-bit member, zero if it cannot be read.
#[inline(always)]
fn word(of: u64, offset: &aya_ebpf::Global<u32>) -> u32 {
    kernel::<u32>(member(of, offset)).unwrap_or(0)
}
