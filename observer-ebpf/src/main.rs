//! The kernel programs: the module list, the licence, the panic handler.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod bound;
mod call;
mod copy;
mod emit;
mod fexit;
mod finished;
mod iov;
mod kprobe;
mod maps;
mod moved;
mod pressure;
mod process;
mod quick;
mod settings;
mod sockets;
mod streams;
mod syscall;
mod tls;
mod user_copy;
mod verdict;

/// Some helpers are for programs under the GPL only; the kernel reads this section.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
