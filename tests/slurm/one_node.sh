#!/usr/bin/env bash
# A real Slurm of one node, this machine, for the tests: munged, slurmctld and slurmd on the loopback interface.
# Needs root, and Debian's or Ubuntu's slurm-wlm and munge, which it installs where apt can.
#
#     tests/slurm/one_node.sh start FOLDER
#     tests/slurm/one_node.sh stop FOLDER
#     tests/slurm/one_node.sh restart-node FOLDER    # only slurmd, after it was killed
#
# Everything that it writes, its own key included, is in FOLDER, but for one link: /etc/slurm/slurm.conf, because
# jobs do not inherit SLURM_CONF. Where that file exists already the script refuses, and `stop` removes the link.
set -euo pipefail

action=${1:?start, stop or restart-node}
folder=$(realpath -m "${2:?the folder of the cluster}")
configuration=$folder/slurm.conf
link=/etc/slurm/slurm.conf

is_running() { [ -s "$folder/$1.pid" ] && kill -0 "$(cat "$folder/$1.pid")" 2>/dev/null; }

wait_for() { # SECONDS COMMAND...
    local limit=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$limit" ] || { echo "Gave up waiting for: $*" >&2 && return 1; }
        sleep 0.2
    done
}

node_is_idle() { [ "$(sinfo --noheader --format=%t 2>/dev/null)" = idle ]; }

install_slurm() {
    command -v slurmctld slurmd munged >/dev/null && return
    echo "Installing slurm-wlm and munge." >&2
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q >&2
    apt-get install -y -q --no-install-recommends slurm-wlm munge >&2
}

write_configuration() {
    local name memory
    name=$(hostname -s)
    memory=$(awk '/^MemTotal/ { print int($2 / 1024 * 0.9) }' /proc/meminfo)
    cat >"$configuration" <<END
ClusterName=onenode
SlurmctldHost=$name(127.0.0.1)
SlurmctldPort=26817
SlurmdPort=26818
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
ReturnToService=2
MpiDefault=none
# a job that has used up its time gets SIGTERM, and this many seconds later SIGKILL
KillWait=10
# no grace beyond the time limit; Slurm looks at the limits twice a minute
OverTimeLimit=0
NodeName=$name NodeAddr=127.0.0.1 CPUs=$(nproc --all) RealMemory=$memory State=UNKNOWN
PartitionName=main Nodes=$name Default=YES MaxTime=INFINITE State=UP
END
    mkdir -p "$(dirname "$link")"
    ln -s "$configuration" "$link"
}

is_ours() { [ "$(readlink "$link")" = "$configuration" ]; }

start() {
    if [ -e "$link" ] && ! is_ours; then
        echo "This machine has a Slurm already: $link is there." >&2
        return 3
    fi
    install_slurm
    rm -f "$link"
    mkdir -p "$folder/state" "$folder/spool"
    chmod 755 "$folder"
    write_configuration
    (umask 077 && head -c 1024 /dev/urandom >"$folder/munge.key")
    munged --force --socket="$folder/munge.socket" --key-file="$folder/munge.key" --pid-file="$folder/munged.pid" \
        --log-file="$folder/munged.log" --seed-file="$folder/munge.seed"
    wait_for 20 test -S "$folder/munge.socket"
    slurmctld -c
    slurmd
    wait_for 60 node_is_idle
    echo "Slurm runs on this machine."
}

stop() {
    local name
    for name in slurmd slurmctld munged; do
        is_running "$name" || continue
        kill "$(cat "$folder/$name.pid")"
        wait_for 30 eval "! is_running $name" || kill -KILL "$(cat "$folder/$name.pid")"
    done
    is_ours && rm "$link" || true
}

restart_node() {
    is_running slurmd || slurmd
    wait_for 60 eval 'sinfo --noheader --format=%t 2>/dev/null | grep -Eq "^(idle|mix|alloc|comp)$"'
}

case $action in
start) start ;;
stop) stop ;;
restart-node) restart_node ;;
*) echo "Unknown action $action." >&2 && exit 2 ;;
esac
