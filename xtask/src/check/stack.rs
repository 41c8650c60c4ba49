//! How much stack a BPF program uses, from its instructions alone.
//!
//! In: the instructions of one program, with the functions that it calls linked behind it, as the kernel gets them.
//! Out: the deepest frame and the deepest sum of frames along a path of calls. A frame is as deep as the lowest
//! address that is accessed or formed from `r10`; where several paths lead to an instruction, the lowest counts.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};

/// One BPF instruction, its fields as in the kernel's `struct bpf_insn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    pub code: u8,
    pub dst: u8,
    pub src: u8,
    pub off: i16,
    pub imm: i32,
}

/// What a program needs at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Bytes of the deepest single frame.
    pub frame: u32,
    /// Bytes of all frames of the deepest path of calls.
    pub path: u32,
}

impl Depth {
    /// What is wrong with this depth, if something is.
    pub fn fault(self) -> Option<String> {
        if self.frame.next_multiple_of(FRAME_STEP) >= PRIVATE_STACK_FROM {
            return Some(format!("a frame of {} bytes gets a stack per CPU", self.frame));
        }
        (self.path >= PRIVATE_STACK_FROM).then(|| format!("{} bytes of stack along its calls", self.path))
    }
}

/// Measures the program that starts at the first instruction.
pub fn of_program(code: &[Instruction]) -> Result<Depth> {
    Program { code, measured: BTreeMap::new() }.measure(0, &mut Vec::new())
}

/// The kernel's `BPF_PRIV_STACK_MIN_SIZE`, from 6.13 on.
const PRIVATE_STACK_FROM: u32 = 64;
/// The kernel rounds a frame up to this before it compares.
const FRAME_STEP: u32 = 16;
/// No frame is deeper than the kernel's `MAX_BPF_STACK`; an address below it is cut to it, which also ends loops.
const LOWEST: i32 = -512;

const REGISTERS: usize = 11;
const FRAME_POINTER: usize = 10;
/// Registers that a call leaves undefined.
const CALLER_SAVED: std::ops::Range<usize> = 0..6;

const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;
const JUMP: u8 = 0x05;
const JUMP_LONG: u8 = 0x06;
const LOAD_64: u8 = 0x18;
const MOVE_REGISTER: u8 = 0xbf;
const ADD_CONSTANT: u8 = 0x07;
const SUBTRACT_CONSTANT: u8 = 0x17;
const ADD_REGISTER: u8 = 0x0f;
/// `src` of a call that goes to a function of the program, and of a load of such a function's address.
const TO_FUNCTION: u8 = 1;
const ADDRESS_OF_FUNCTION: u8 = 4;

/// The class of an instruction: the low three bits of its code.
mod class {
    pub(super) const LOAD: u8 = 1;
    pub(super) const STORE_CONSTANT: u8 = 2;
    pub(super) const STORE: u8 = 3;
    pub(super) const ALU_32: u8 = 4;
    pub(super) const JUMP: u8 = 5;
    pub(super) const JUMP_32: u8 = 6;
    pub(super) const ALU_64: u8 = 7;
}

/// For each register, how far from the frame's start it points at the lowest, if it points into the frame.
type Registers = [Option<i32>; REGISTERS];

struct Program<'a> {
    code: &'a [Instruction],
    measured: BTreeMap<usize, Depth>,
}

impl Program<'_> {
    /// Depth from the function at `start` on; `callers` are the functions that lead to it.
    fn measure(&mut self, start: usize, callers: &mut Vec<usize>) -> Result<Depth> {
        if let Some(depth) = self.measured.get(&start) {
            return Ok(*depth);
        }
        if callers.contains(&start) {
            bail!("the function at instruction {start} calls itself");
        }
        let function = self.walk(start)?;
        callers.push(start);
        let mut deepest = Depth { frame: function.frame, path: 0 };
        for callee in function.callees {
            let below = self.measure(callee, callers)?;
            deepest.frame = deepest.frame.max(below.frame);
            deepest.path = deepest.path.max(below.path);
        }
        callers.pop();
        deepest.path += function.frame;
        self.measured.insert(start, deepest);
        Ok(deepest)
    }

    /// Follows every path through one function until nothing new is learned.
    fn walk(&self, start: usize) -> Result<Function> {
        let mut function = Function::default();
        let mut before: BTreeMap<usize, Registers> = BTreeMap::new();
        let mut entry = [None; REGISTERS];
        entry[FRAME_POINTER] = Some(0);
        let mut open = vec![(start, entry)];
        while let Some((at, arriving)) = open.pop() {
            let merged = before.get(&at).map_or(arriving, |known| lowest_of(known, &arriving));
            if before.insert(at, merged) == Some(merged) {
                continue;
            }
            let instruction = *self.code.get(at).context("the code ends without an exit")?;
            function.note(instruction, at, &merged);
            let after = apply(instruction, merged);
            if let Some(lowest) = after.iter().flatten().min() {
                function.reach(*lowest);
            }
            open.extend(successors(instruction, at).into_iter().flatten().map(|next| (next, after)));
        }
        Ok(function)
    }
}

/// One function's own frame, and which functions it may enter.
#[derive(Default)]
struct Function {
    frame: u32,
    callees: Vec<usize>,
}

impl Function {
    fn note(&mut self, instruction: Instruction, at: usize, registers: &Registers) {
        let through = match instruction.code & 7 {
            class::LOAD => Some(instruction.src),
            class::STORE_CONSTANT | class::STORE => Some(instruction.dst),
            _ => None,
        };
        if let Some(base) = through.and_then(|register| points_to(registers, register)) {
            self.reach(base + i32::from(instruction.off));
        }
        let enters = match (instruction.code, instruction.src) {
            (CALL, TO_FUNCTION) | (LOAD_64, ADDRESS_OF_FUNCTION) => target(at, instruction.imm),
            _ => None,
        };
        self.callees.extend(enters);
    }

    fn reach(&mut self, offset: i32) {
        self.frame = self.frame.max(offset.min(0).unsigned_abs());
    }
}

fn points_to(registers: &Registers, register: u8) -> Option<i32> {
    registers.get(usize::from(register)).copied().flatten()
}

fn lowest_of(one: &Registers, other: &Registers) -> Registers {
    std::array::from_fn(|n| match (one[n], other[n]) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    })
}

fn apply(instruction: Instruction, mut registers: Registers) -> Registers {
    let Instruction { code, dst, src, imm, .. } = instruction;
    let moved = |by: i32| points_to(&registers, dst).map(|at| at.saturating_add(by).clamp(LOWEST, 0));
    let written = match (code, code & 7) {
        (CALL, _) => {
            registers[CALLER_SAVED].fill(None);
            return registers;
        }
        (MOVE_REGISTER, _) => points_to(&registers, src),
        (ADD_CONSTANT, _) => moved(imm),
        (SUBTRACT_CONSTANT, _) => moved(imm.saturating_neg()),
        (ADD_REGISTER, _) => points_to(&registers, dst).or(points_to(&registers, src)),
        (LOAD_64, _) | (_, class::LOAD | class::ALU_32 | class::ALU_64) => None,
        _ => return registers,
    };
    if let Some(register) = registers.get_mut(usize::from(dst)) {
        *register = written;
    }
    registers
}

fn successors(instruction: Instruction, at: usize) -> [Option<usize>; 2] {
    let near = || target(at, i32::from(instruction.off));
    match (instruction.code, instruction.code & 7) {
        (EXIT, _) => [None, None],
        (JUMP, _) => [near(), None],
        (JUMP_LONG, _) => [target(at, instruction.imm), None],
        (CALL, _) => [Some(at + 1), None],
        (LOAD_64, _) => [Some(at + 2), None],
        (_, class::JUMP | class::JUMP_32) => [Some(at + 1), near()],
        _ => [Some(at + 1), None],
    }
}

/// Jumps and calls count from the instruction behind them.
fn target(at: usize, distance: i32) -> Option<usize> {
    (at + 1).checked_add_signed(isize::try_from(distance).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> Instruction {
        Instruction { code, dst, src, off, imm }
    }

    fn store(off: i16) -> Instruction {
        op(0x7b, 10, 1, off, 0) // *(u64 *)(r10 + off) = r1
    }

    const EXIT_NOW: Instruction = Instruction { code: EXIT, dst: 0, src: 0, off: 0, imm: 0 };

    fn depth(code: &[Instruction]) -> Depth {
        of_program(code).expect("the program can be followed")
    }

    #[test]
    fn a_store_below_the_frame_pointer_counts() {
        assert_eq!(depth(&[store(-8), store(-40), EXIT_NOW]), Depth { frame: 40, path: 40 });
    }

    #[test]
    fn a_pointer_into_the_frame_counts_where_it_is_made() {
        let code =
            [op(MOVE_REGISTER, 2, 10, 0, 0), op(ADD_CONSTANT, 2, 0, 0, -24), op(CALL, 0, 0, 0, 1), EXIT_NOW];
        assert_eq!(depth(&code).frame, 24);
    }

    #[test]
    fn an_access_through_a_copy_of_the_frame_pointer_counts() {
        let code = [op(MOVE_REGISTER, 6, 10, 0, 0), op(CALL, 0, 0, 0, 1), op(0x7b, 6, 1, -56, 0), EXIT_NOW];
        assert_eq!(depth(&code).frame, 56, "r6 survives the call");
        let code = [op(MOVE_REGISTER, 2, 10, 0, 0), op(CALL, 0, 0, 0, 1), op(0x7b, 2, 1, -56, 0), EXIT_NOW];
        assert_eq!(depth(&code).frame, 0, "r2 does not");
    }

    #[test]
    fn code_behind_a_branch_counts() {
        let jump_if_zero = op(0x15, 1, 0, 1, 0);
        assert_eq!(depth(&[jump_if_zero, EXIT_NOW, store(-48), EXIT_NOW]).frame, 48);
    }

    #[test]
    fn a_loop_that_walks_down_ends_at_the_lowest_stack() {
        let code =
            [op(MOVE_REGISTER, 3, 10, 0, 0), op(ADD_CONSTANT, 3, 0, 0, -8), op(0x15, 1, 0, -2, 0), EXIT_NOW];
        assert_eq!(depth(&code).frame, 512);
    }

    #[test]
    fn frames_add_up_along_the_deepest_path() {
        let main = [store(-16), op(CALL, 0, TO_FUNCTION, 0, 2), op(CALL, 0, TO_FUNCTION, 0, 3), EXIT_NOW];
        let first = [store(-8), EXIT_NOW];
        let second = [store(-32), EXIT_NOW];
        let code = [&main[..], &first, &second].concat();
        assert_eq!(depth(&code), Depth { frame: 32, path: 48 });
    }

    #[test]
    fn a_callback_is_a_callee() {
        let load = [op(LOAD_64, 2, ADDRESS_OF_FUNCTION, 0, 3), op(0, 0, 0, 0, 0)];
        let main = [&load[..], &[op(CALL, 0, 0, 0, 181), EXIT_NOW]].concat();
        let code = [&main[..], &[store(-40), EXIT_NOW]].concat();
        assert_eq!(depth(&code).path, 40);
    }

    #[test]
    fn recursion_and_code_without_end_are_refused() {
        assert!(of_program(&[op(CALL, 0, TO_FUNCTION, 0, -1), EXIT_NOW]).is_err());
        assert!(of_program(&[store(-8)]).is_err());
    }

    #[test]
    fn the_limit_is_where_the_kernel_switches() {
        assert_eq!(Depth { frame: 48, path: 56 }.fault(), None);
        assert!(Depth { frame: 49, path: 49 }.fault().is_some(), "rounded up it is 64");
        assert!(Depth { frame: 32, path: 64 }.fault().is_some());
    }
}
