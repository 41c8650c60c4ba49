//! Calls of processes in containers and pods say which these are, from the first call on.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use live::containers::Host;
use live::observer::Observer;
use serde_json::Value;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const UID: &str = "72b8c2f1-6d0e-4a7c-9d51-0f8e3b6a4c2d";
/// `initialize`, and three calls of a tool.
const CALLS: usize = 4;

#[test]
fn of_containerd() -> Result<()> {
    let mut host = Host::new()?;
    host.start_containerd()?;
    let talk = host.in_containerd("shop-1");
    for end in ends(&host, &["--container", "shop-1"], talk)? {
        is(&end, "container", "shop-1")?;
        is(&end, "container_name", "shop-1")?;
        is(&end, "runtime", "containerd")?;
        ensure!(end["uid"] == 0 && end["user"].is_null() && end["unit"].is_null(), "{end}");
    }
    Ok(())
}

#[test]
fn of_podman() -> Result<()> {
    let host = Host::new()?;
    let talk = host.in_podman("shop-2")?;
    for end in ends(&host, &["--container", "shop-2"], talk)? {
        ensure!(end["container"].as_str().is_some_and(|id| id.len() == 64), "{end}");
        is(&end, "container_name", "shop-2")?;
        is(&end, "runtime", "podman")?;
    }
    Ok(())
}

#[test]
fn of_a_pod() -> Result<()> {
    for group in [
        format!("kubepods/burstable/pod{UID}/{ID}"),
        format!(
            "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{}.slice/cri-containerd-{ID}.scope",
            UID.replace('-', "_")
        ),
    ] {
        let mut host = Host::new()?;
        host.write(&format!("var/log/pods/shop_web-0_{UID}/app/0.log"), "")?;
        let talk = host.in_group(&group)?;
        for end in ends(&host, &["--namespace", "shop", "--pod", "web-0"], talk)? {
            is(&end, "container", ID)?;
            is(&end, "container_name", "app")?;
            is(&end, "pod", "web-0")?;
            is(&end, "pod_uid", UID)?;
            is(&end, "namespace", "shop")?;
            is(&end, "qos", "burstable")?;
        }
    }
    Ok(())
}

#[test]
fn of_the_host_itself() -> Result<()> {
    let mut host = Host::new()?;
    host.write("etc/passwd", "operator:x:0:0::/:/bin/sh\n")?;
    let talk = host.in_group("system.slice/shop.service")?;
    let flags = ["--exe", "raw-peer"];
    for end in ends(&host, &flags, talk)? {
        is(&end, "unit", "shop.service")?;
        is(&end, "user", "operator")?;
        ensure!(end["container"].is_null() && end["pod"].is_null(), "{end}");
    }
    Ok(())
}

/// Client and server of each call that is seen while `talk` runs. The filter must let all calls through, the first too.
fn ends(host: &Host, filter: &[&str], mut talk: Command) -> Result<Vec<Value>> {
    let mut observer = Observer::start(&[&["--host-root", host.root()], filter].concat())?;
    let output = talk.output().with_context(|| format!("cannot start {:?}", talk.get_program()))?;
    ensure!(output.status.success(), "{talk:?}: {}", String::from_utf8_lossy(&output.stderr));
    observer.wait_for("all calls", |lines| calls(lines).count() >= CALLS)?;
    let (lines, _) = observer.interrupt()?;
    ensure!(calls(&lines).count() == CALLS, "{} calls", calls(&lines).count());
    Ok(calls(&lines).flat_map(|call| [call["client"].clone(), call["server"].clone()]).collect())
}

fn calls(lines: &[Value]) -> impl Iterator<Item = &Value> {
    lines.iter().filter(|line| line["type"] == "call")
}

fn is(end: &Value, member: &str, expected: &str) -> Result<()> {
    ensure!(end[member] == expected, "{member} is not {expected}: {end}");
    Ok(())
}
