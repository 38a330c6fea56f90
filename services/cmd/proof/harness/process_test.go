package harness

import (
	"os"
	"os/exec"
	"testing"
)

// The system reports the memory of a process, here of this one.
func TestMemory(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("this system has no /proc")
	}
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	p := &Process{Command: Command{Name: "this"}, cmd: &exec.Cmd{Process: self}}
	now, peak, err := p.Memory()
	if err != nil || now < 1e6 || now > 10e9 || peak < now {
		t.Errorf("got %v bytes, at the peak %v, %v", now, peak, err)
	}
}
