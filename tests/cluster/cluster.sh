#!/bin/bash
# A SLURM cluster of two nodes and two fake GPUs on this machine, for tests: no systemd, no cgroups.
#
#   cluster.sh install    Debian's munge and SLURM, where they are missing (root, or sudo)
#   cluster.sh start      start munged, slurmctld and two slurmd;  then:  . $SLURM_TEST_ROOT/env
#   cluster.sh stop       end what start started, and remove its folder
#
# All files lie below SLURM_TEST_ROOT (${TMPDIR:-/tmp}/warpline-slurm), nothing in /etc/slurm; all
# ports are on 127.0.0.1, from SLURM_TEST_PORT (17000) on.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=${SLURM_TEST_ROOT:-${TMPDIR:-/tmp}/warpline-slurm}
PORT=${SLURM_TEST_PORT:-17000}
PATH=$PATH:/usr/sbin:/sbin

die() {
    echo "cluster.sh: $*" >&2
    exit 1
}

wait_for() { # SECONDS WHAT COMMAND...
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until timeout 10 "$@" >/dev/null 2>&1; do
        ((SECONDS < end)) || die "$what did not come up; see $ROOT/log"
        sleep 0.1
    done
}

install() {
    local packages="munge slurmctld slurmd slurm-client" root="" program missing=""
    for program in munged slurmctld slurmd sinfo; do
        command -v "$program" >/dev/null || missing=1
    done
    [ -n "$missing" ] || return 0
    command -v apt-get >/dev/null || die "SLURM and munge are missing; install them ($packages in Debian)"
    if [ "$(id -u)" != 0 ]; then
        sudo -n true 2>/dev/null || die "SLURM and munge are missing; as root: apt-get install $packages"
        root="sudo -n"
    fi
    # The packages' own scripts must not start daemons (101: forbidden).
    local policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' | $root tee $policy >/dev/null
        $root chmod 755 $policy
        trap "$root rm -f $policy" EXIT
    fi
    $root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
    # shellcheck disable=SC2086
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages
}

start() {
    local program host
    host=$(hostname -s)
    for program in munged slurmctld slurmd sinfo; do
        command -v "$program" >/dev/null || die "$program is missing (cluster.sh install)"
    done
    getent hosts "$host" >/dev/null || die "the name $host must resolve: add '127.0.0.1 $host' to /etc/hosts"
    [ ! -e "$ROOT/slurmctld.pid" ] || die "a cluster runs in $ROOT, or ended badly (cluster.sh stop)"
    trap stop EXIT # leave nothing behind if it does not come up
    umask 022
    mkdir -p "$ROOT"/{etc,bin,spool/node1,spool/node2,log,munge,dev}
    mkdir -m 700 -p "$ROOT/state"

    # An own munge with an own key, which nobody else may read.
    (umask 077 && head -c 1024 /dev/urandom >"$ROOT/munge/munge.key")
    munged --socket="$ROOT/munge/munge.socket" --key-file="$ROOT/munge/munge.key" \
        --log-file="$ROOT/munge/munged.log" --pid-file="$ROOT/munge/munged.pid" \
        --seed-file="$ROOT/munge/munged.seed"

    # Fake GPUs are character devices: with a count alone SLURM 22.05 calls the node invalid, and
    # with ordinary files no job is given CUDA_VISIBLE_DEVICES. Who may make none takes others.
    local gpus=/dev/null,/dev/zero
    if mknod "$ROOT/dev/gpu0" c 1 3 2>/dev/null && mknod "$ROOT/dev/gpu1" c 1 3; then
        gpus=$ROOT/dev/gpu0,$ROOT/dev/gpu1
    fi
    echo "NodeName=node1 Name=gpu File=$gpus" >"$ROOT/etc/gres.conf"
    sed -e "s|@ROOT@|$ROOT|g; s|@HOST@|$host|g; s|@USER@|$(id -un)|g" \
        -e "s|@PORT@|$PORT|; s|@PORT_NODE1@|$((PORT + 1))|; s|@PORT_NODE2@|$((PORT + 2))|" \
        -e "s|@PORTS_SRUN@|$((PORT + 100))-$((PORT + 999))|" \
        "$here/slurm.conf.in" >"$ROOT/etc/slurm.conf"

    # Snakemake's plugin takes SLURM_CONF out of the environment of the srun inside a job, which
    # then looks for /etc/slurm/slurm.conf; found first on PATH, which sbatch carries into jobs.
    printf '#!/bin/sh\nSLURM_CONF=%s exec %s "$@"\n' "$ROOT/etc/slurm.conf" "$(command -v srun)" \
        >"$ROOT/bin/srun"
    printf '#!/bin/sh\necho "$SLURM_JOB_ID ${SLURM_JOB_GPUS:--}" >>%s\n' "$ROOT/log/gpus" \
        >"$ROOT/bin/prolog"
    chmod 755 "$ROOT/bin/srun" "$ROOT/bin/prolog"
    printf 'export SLURM_CONF=%s\nexport PATH=%s:$PATH\n' "$ROOT/etc/slurm.conf" "$ROOT/bin" \
        >"$ROOT/env"
    . "$ROOT/env"

    slurmctld
    wait_for 30 slurmctld sh -c 'scontrol ping | grep -q "is UP"'
    slurmd -N node1
    slurmd -N node2
    wait_for 30 "not all nodes" sh -c '[ "$(sinfo -h -N -p cpu -t idle -o %N | wc -l)" = 2 ]'
    trap - EXIT
    sinfo -N -p cpu -o '%N %t %c %m %G'
}

end() { # PIDFILE PROGRAM
    [ -s "$1" ] || return 0
    local pid tries=150
    pid=$(tr -dc 0-9 <"$1")
    # Only if that process still is this program.
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$2" ] || return 0
    kill "$pid" 2>/dev/null || true
    while kill -0 "$pid" 2>/dev/null; do
        if ((--tries == 0)); then
            kill -9 "$pid"
            break
        fi
        sleep 0.1
    done
}

stop() {
    export SLURM_CONF=$ROOT/etc/slurm.conf
    if [ -s "$ROOT/slurmctld.pid" ]; then
        # No step of a job stays behind.
        timeout 10 scancel --user="$(id -un)" || true
        for _ in $(seq 50); do
            [ -n "$(timeout 5 squeue -h -t R,CG -o %i 2>/dev/null)" ] || break
            sleep 0.2
        done
    fi
    end "$ROOT/slurmd-node1.pid" slurmd
    end "$ROOT/slurmd-node2.pid" slurmd
    end "$ROOT/slurmctld.pid" slurmctld
    end "$ROOT/munge/munged.pid" munged
    rm -rf "$ROOT"
}

case ${1:-} in
install | start | stop) "$1" ;;
*) die "give one of install, start, stop" ;;
esac
