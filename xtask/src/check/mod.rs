//! `cargo xtask check`: what must hold for the built kernel object, whatever the verifier accepts.
//!
//! Kernels from 6.13 on give a program whose frame has 64 bytes or more a stack per CPU. Uprobe programs can be
//! preempted, so two of them would write to the same stack. Per-CPU maps have the same flaw. The
//! object is read with aya's own reader, so what is checked is what gets loaded.

mod stack;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use aya_obj::generated::{bpf_insn, bpf_map_type};
use aya_obj::{Object, ProgramSection};

use crate::{process, workspace};
use stack::Instruction;

/// Flags of `cargo xtask check`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Checks this object instead of building the current one
    #[arg(long)]
    object: Option<PathBuf>,
}

/// Checks the object that was named, else the one of this build.
pub fn run(arguments: &Arguments) -> Result<()> {
    arguments.object.as_deref().map_or_else(built, check)
}

/// Builds the object if needed and checks it.
pub fn built() -> Result<()> {
    check(&built_object(&["check"])?)
}

fn check(path: &Path) -> Result<()> {
    let mut object = read(path).with_context(|| format!("reading {}", path.display()))?;
    let mut faults = scratch_maps(&object);
    faults.extend(deep_stacks(&mut object)?);
    for fault in &faults {
        eprintln!("check: {fault}");
    }
    ensure!(faults.is_empty(), "{} faults in the kernel object", faults.len());
    Ok(())
}

/// Where the object of a build is, from what cargo says about the build script that makes it. `verb` is the cargo
/// command that builds, with the profile.
pub fn built_object(verb: &[&str]) -> Result<PathBuf> {
    let mut build = workspace::cargo();
    build.args(verb);
    build.args(["--quiet", "--package", "mcp-observer", "--message-format=json-render-diagnostics"]);
    let messages = process::output(&mut build)?;
    let folders = messages.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from(message.get("out_dir")?.as_str()?))
    });
    let object = folders.map(|folder| folder.join("observer-ebpf")).find(|path| path.is_file());
    object.context("the build of mcp-observer left no kernel object")
}

fn read(path: &Path) -> Result<Object> {
    let bytes = std::fs::read(path)?;
    let mut object = Object::parse(&bytes)?;
    let text_sections: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
    object.relocate_calls(&text_sections)?;
    Ok(object)
}

fn scratch_maps(object: &Object) -> Vec<String> {
    let scratch = object.maps.iter().filter(|(_, map)| is_per_cpu(map.map_type()));
    scratch.map(|(name, _)| format!("map {name} is per CPU")).collect()
}

fn is_per_cpu(map_type: u32) -> bool {
    let per_cpu = [
        bpf_map_type::BPF_MAP_TYPE_PERCPU_ARRAY,
        bpf_map_type::BPF_MAP_TYPE_PERCPU_HASH,
        bpf_map_type::BPF_MAP_TYPE_LRU_PERCPU_HASH,
        bpf_map_type::BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE,
    ];
    per_cpu.iter().any(|kind| *kind as u32 == map_type)
}

fn deep_stacks(object: &mut Object) -> Result<Vec<String>> {
    let is_uprobe = |section: &ProgramSection| {
        matches!(section, ProgramSection::UProbe { .. } | ProgramSection::URetProbe { .. })
    };
    let mut uprobes: Vec<_> =
        object.programs.iter().filter(|(_, program)| is_uprobe(&program.section)).collect();
    uprobes.sort_by_key(|(name, _)| *name);
    if uprobes.is_empty() {
        bail!("the object has no uprobe program, so this check would show nothing");
    }
    let mut faults = Vec::new();
    for (name, program) in uprobes {
        let key = (program.section_index, program.address);
        let function = object.functions.get(&key).with_context(|| format!("{name} has no code"))?;
        let code: Vec<_> = function.instructions.iter().map(instruction).collect();
        let depth = stack::of_program(&code).with_context(|| format!("following {name}"))?;
        println!("check: {name}: {} bytes of stack, {} in one frame", depth.path, depth.frame);
        faults.extend(depth.fault().map(|fault| format!("{name}: {fault}")));
    }
    Ok(faults)
}

fn instruction(raw: &bpf_insn) -> Instruction {
    Instruction { code: raw.code, dst: raw.dst_reg(), src: raw.src_reg(), off: raw.off, imm: raw.imm }
}

#[cfg(test)]
mod tests {
    use super::{bpf_map_type, is_per_cpu};

    #[test]
    fn no_map_may_be_per_cpu() {
        assert!(is_per_cpu(bpf_map_type::BPF_MAP_TYPE_PERCPU_ARRAY as u32));
        assert!(is_per_cpu(bpf_map_type::BPF_MAP_TYPE_LRU_PERCPU_HASH as u32));
        assert!(!is_per_cpu(bpf_map_type::BPF_MAP_TYPE_ARRAY as u32));
        assert!(!is_per_cpu(bpf_map_type::BPF_MAP_TYPE_LRU_HASH as u32));
    }
}
