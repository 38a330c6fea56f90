package main

// failure carries an error from check to attempt. An error ends the run, because
// nothing can be measured after it. Deferred functions still clean up.
type failure struct{ error }

// check ends the run if err is not nil. It must run in the goroutine of attempt.
func check(err error) {
	if err != nil {
		panic(failure{err})
	}
}

// must returns the value, or ends the run.
func must[T any](value T, err error) T {
	check(err)
	return value
}

// attempt returns the error that ended the function.
func attempt(do func()) (err error) {
	defer func() {
		switch ended := recover().(type) {
		case nil:
		case failure:
			err = ended.error
		default:
			panic(ended)
		}
	}()
	do()
	return nil
}
