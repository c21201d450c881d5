#!/usr/bin/env bash
# Every simulation and analysis behind docs/paper.md: docs/paper_runs.sh FOLDER
# About a day and a half on two cores. What is there is not done again, so it can be stopped and started.
set -euo pipefail
mkdir -p "$1" && cd "$1"
examples=$(cd "$(dirname "$0")/../lammps_examples" && pwd)

record() { # NAME EXAMPLE BUFFER [variables]: a recording NAME.sdl
    [ -e "$1.sdl" ] && return
    local name=$1 example=$2 buffer=$3
    shift 3
    mkdir -p "recording-$name"
    (cd "recording-$name" && python "$examples/$example/record.py" -screen none "$@" >record.out 2>&1)
    mv "recording-$name/$buffer" "$name.sdl"
}
analyse() { # NAME BUFFER SETTINGS [--model DIR]: an analysis in the folder NAME
    local name=$1 buffer=$2 settings=$3
    shift 3
    [ -e "$name/report.html" ] || strdyn analyse "$buffer" -c "$settings" -o "$name" "$@" >"$name.out"
}
at_stride() { # STRIDE SIZE: the settings of the rates with another stride
    sed "s/^stride.*/stride = $1/; s/^min_cluster_size.*/min_cluster_size = $2/" "$examples/cu211/rates.toml" >"stride-$1.toml"
}

# Cu(211)
record cu1000-demo cu211 cu211.sdl
analyse cu1000-demo cu1000-demo.sdl "$examples/cu211/analysis.toml"
record cu900 cu211 cu211.sdl -var T 900 -var every 1250 -var frames 525 -var seed 77
record cu800 cu211 cu211.sdl -var T 800 -var every 1250 -var frames 800 -var seed 11
record cu1000 cu211 cu211.sdl -var T 1000 -var every 1250 -var frames 400 -var seed 11
analyse cu900 cu900.sdl "$examples/cu211/rates.toml"
for at in 800 1000; do
    analyse "cu$at" "cu$at.sdl" "$examples/cu211/rates.toml" --model cu900
done
strdyn arrhenius 800=cu800 900=cu900 1000=cu1000 -o rates >rates.out
for stride in 1 2 8; do
    at_stride $stride $((240 / stride))
    analyse "cu900-stride$stride" cu900.sdl "stride-$stride.toml"
done
for at in 600 700 800; do # adatoms that no vacancy waits for
    record "cu$at-adatoms" cu211 cu211.sdl -var T "$at" -var every 1250 -var frames 525 -var seed 77 -var adatoms 1
done
analyse cu700-adatoms cu700-adatoms.sdl "$examples/cu211/adatoms.toml"
analyse cu800-adatoms cu800-adatoms.sdl "$examples/cu211/adatoms.toml"
sed "s/^stride = 4/stride = 8/; s/^min_cluster_size = 60/min_cluster_size = 30/" "$examples/cu211/adatoms.toml" >adatoms-40ps.toml
analyse cu600-adatoms cu600-adatoms.sdl adatoms-40ps.toml
for window in 1 21; do
    sed "s/^smoothing_window = 11/smoothing_window = $window/" "$examples/cu211/adatoms.toml" >"window-$window.toml"
    analyse "cu700-adatoms-window$window" cu700-adatoms.sdl "window-$window.toml"
done
python "$examples/cu211/adatom.py" >adatom.out

# the gold particle in minutes; the paper's interval and clustering at 300 K, and all of it at 200 K
record au309 au309 au309.sdl -var seed 3 -var frames 1200
analyse au309 au309.sdl "$examples/au309/analysis.toml"
python "$examples/au309/rosettes.py" au309.sdl >au309-rosettes.out
record au309-long au309 au309.sdl -var every 20000 -var frames 750 -var seed 2
analyse au309-long au309-long.sdl "$examples/au309/long.toml"
record au309-200K au309 au309.sdl -var T 200 -var every 100000 -var frames 2000 -var seed 2
analyse au309-200K au309-200K.sdl "$examples/au309/paper.toml"
python "$examples/au309/rosettes.py" au309-200K.sdl >au309-200K-rosettes.out

# ice and water
record mw_ice mw_ice mw_ice.sdl
analyse mw_ice mw_ice.sdl "$examples/mw_ice/analysis.toml"
python "$examples/mw_ice/interfaces.py" mw_ice.sdl mw_ice >mw_ice-interfaces.out
genice2 1h --rep 2 3 6 --seed 1 --water tip3p | python "$examples/tip4p_ice/ice.py" >ice.data
record tip4p_ice tip4p_ice tip4p_ice.sdl -var data ../ice.data
analyse tip4p_ice tip4p_ice.sdl "$examples/tip4p_ice/analysis.toml"
python "$examples/mw_ice/interfaces.py" tip4p_ice.sdl tip4p_ice >tip4p_ice-interfaces.out
