import signal
import socket
import subprocess
import sys
import threading

import pytest

from reprise.errors import CallError
from reprise.train import meeting
from tests.train.ports import free_ports

ONE = "import sys; from reprise.train.meeting import meet; meet(sys.argv[2:], int(sys.argv[1]))"


def addresses(count):
    return [f"localhost:{port}" for port in free_ports(count)]


def alone(place, hosts):
    """A worker in a process of its own that waits for the others."""
    return subprocess.Popen([sys.executable, "-c", ONE, str(place), *hosts], stderr=subprocess.PIPE, text=True)


def test_all_go_on_when_all_are_there(capsys):
    hosts, all_met = addresses(3), threading.Barrier(4)

    def worker(place):
        meeting.meet(hosts, place)
        with socket.create_server(("", int(hosts[place].rpartition(":")[2]))):  # as TensorFlow does then
            all_met.wait(30)

    threads = [threading.Thread(target=worker, args=(place,), daemon=True) for place in range(3)]
    for thread in threads[:2]:
        thread.start()
    threads[0].join(0.5)
    assert all_met.n_waiting == 0, "the third is missing"
    threads[2].start()
    all_met.wait(30)
    assert capsys.readouterr().err == ""


def test_those_that_are_missing_are_named_and_control_c_ends_the_wait():
    hosts = addresses(3)
    processes = [alone(place, hosts) for place in range(2)]
    for process in processes:
        said = process.stderr.readline()
        assert said == f"waiting for worker 2 ({hosts[2]}): nothing listens there yet. Ctrl-C ends this one.\n"
    for process in processes:
        process.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in process.communicate(timeout=30)[1]


def test_a_worker_that_cannot_listen_at_its_address_is_told():
    with socket.create_server(("", 0)) as taken:
        here = f"localhost:{taken.getsockname()[1]}"
        with pytest.raises(CallError, match=f"this worker is at {here}, and cannot listen there .*; name a free port"):
            meeting.meet([here, "localhost:1"], 0)


@pytest.mark.parametrize("address", ["localhost", "localhost:", ":80", "localhost:http", "localhost:65536"])
def test_what_is_not_an_address_is_refused(address):
    with pytest.raises(CallError, match=rf"TF_CONFIG: '{address}' is not the address of a worker; expected host:port"):
        meeting.meet(["localhost:1", address], 0)
