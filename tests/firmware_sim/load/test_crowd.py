from __future__ import annotations

import socket
import threading
from contextlib import closing, suppress

import pytest

from firmware_sim.failures import ServerAbsent, ServerRefused
from firmware_sim.load.crowd import Crowd, Guest
from firmware_sim.load.options import Load


def let_in(crowd, guests):
    crowd.send(guests)
    while crowd.underway:
        crowd.turn()


def test_every_guest_is_let_in_once(gateway):
    load = Load(port=gateway.port)
    arrived = []
    crowd = Crowd(load, arrived.append)
    guests = [Guest(load, number, subscribes=number % 2 == 0) for number in range(40)]
    let_in(crowd, guests)
    assert sorted(guest.number for guest in arrived) == list(range(40))
    assert all(guest.is_in for guest in guests)
    for guest in guests:
        guest.leave()
    assert not any(guest.is_in for guest in guests)
    let_in(crowd, guests)
    assert len(arrived) == 80
    crowd.close()
    for guest in guests:
        guest.leave()


def test_who_is_cut_off_comes_again():
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            listener.accept()[0].close()
            client, _ = listener.accept()
            with client:
                client.recv(1 << 16)
                client.sendall(b"\x20\x02\x00\x00")
                with suppress(ConnectionResetError):
                    client.recv(1 << 16)

        thread = threading.Thread(target=serve)
        thread.start()
        load = Load(port=listener.getsockname()[1])
        crowd = Crowd(load, lambda _: None)
        guest = Guest(load, 1, subscribes=False)
        let_in(crowd, [guest])
        assert (guest.is_in, crowd.retries) == (True, 1)
        guest.leave()
        crowd.close()
        thread.join(10)


def test_a_refusal_is_not_tried_again():
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            client, _ = listener.accept()
            with client:
                client.recv(1 << 16)
                client.sendall(b"\x20\x02\x00\x05")
                with suppress(ConnectionResetError):
                    client.recv(1 << 16)

        thread = threading.Thread(target=serve)
        thread.start()
        load = Load(port=listener.getsockname()[1])
        guest = Guest(load, 1, subscribes=False)
        with closing(Crowd(load, lambda _: None)) as crowd, pytest.raises(ServerRefused):
            let_in(crowd, [guest])
        guest.leave()
        thread.join(10)


def test_a_name_that_no_address_has_is_told():
    with pytest.raises(ServerAbsent, match="no MQTT server at no-such-host"):
        Crowd(Load(host="no-such-host.invalid"), lambda _: None)
