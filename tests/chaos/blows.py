"""What befalls a fleet. A blow falls, may pass by itself after a while, and leaves the fleet to become whole again.

    blow = NodeStopped(fleet["a"], seconds=3)
    blow.fall()          # returns at once
    blow.pass_by()       # returns when what caused it is gone
"""

import os
import signal
import threading

FLAP_SECONDS = (0.3, 4)  # a bad contact is off or on for so long


class Blow:
    kind = None
    heals = False  # what it hit goes on afterwards, and the fleet must be whole soon

    def fall(self):
        raise NotImplementedError

    def pass_by(self):
        pass


class RunnerKilled(Blow):
    kind = "runner killed"

    def __init__(self, victim):
        self.victim, self.where = victim, victim.name

    def fall(self):
        for pid in self.victim.runner_pids():
            os.kill(pid, signal.SIGKILL)


class NodeKilled(Blow):
    """It is away until pass_by() starts it again."""

    kind = "node killed"

    def __init__(self, victim):
        self.victim, self.where = victim, victim.name

    def fall(self):
        self.victim.kill()

    def pass_by(self):
        self.victim.start()


class Passing(Blow):
    """One that ends after `seconds` by itself, whoever waits for what meanwhile."""

    heals = True

    def __init__(self, seconds):
        self.waker = threading.Timer(seconds, self.end)

    def fall(self):
        self.begin()
        self.waker.start()

    def pass_by(self):
        self.waker.join()


class NodeStopped(Passing):
    kind = "node stopped"

    def __init__(self, victim, seconds):
        super().__init__(seconds)
        self.victim, self.where = victim, "%s for %.0f s" % (victim.name, seconds)

    def begin(self):
        self.victim.stand_still()

    def end(self):
        self.victim.go_on()


class Cut(Passing):
    """The network falls into two parts, or one part is not heard by the other, or the contact is bad and does both."""

    kind = "network cut"

    def __init__(self, switch, parts, how, dice, seconds):
        super().__init__(seconds)
        self.switch, self.how, self.dice = switch, how, dice
        one, other = parts
        self.pairs = [(a, b) for a in one for b in other]
        if how != "one way":
            self.pairs += [(b, a) for a, b in self.pairs]
        self.where = "%s from %s %s for %.0f s" % ("+".join(one), "+".join(other), how, seconds)
        self.over = threading.Event()
        self.flapping = threading.Thread(target=self.flap, daemon=True)

    def begin(self):
        self.switch.cut(self.pairs)
        if self.how == "flapping":
            self.flapping.start()

    def flap(self):
        whole = False
        while not self.over.wait(self.dice.uniform(*FLAP_SECONDS)):
            whole = not whole
            self.switch.cut([] if whole else self.pairs)

    def end(self):
        self.over.set()
        if self.how == "flapping":
            self.flapping.join()
        self.switch.mend()


CUTS = ("both ways", "one way", "flapping")
