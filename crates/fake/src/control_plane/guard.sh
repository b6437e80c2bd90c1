# Reads `add PID`, `forget PID` and `leave`; kills what is left when the input ends without `leave`.
trap '' INT TERM HUP
pids=
while read -r word pid; do
  case $word in
    add) pids="$pids $pid" ;;
    forget)
      kept=
      for other in $pids; do
        [ "$other" = "$pid" ] || kept="$kept $other"
      done
      pids=$kept
      ;;
    leave) exit 0 ;;
  esac
done
# A process that ended by itself is no reason to spare the next.
for pid in $pids; do
  kill -KILL "$pid" || true
done
[ -z "${1-}" ] && exit 0
# A dying process may still be writing.
for _ in 1 2 3 4 5; do
  rm -rf -- "$1" && exit 0
  sleep 1
done
