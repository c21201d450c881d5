// The way from LAMMPS into Python: an object of Python, and its methods, behind two C functions.
// Nothing here knows LAMMPS; the Python that is linked at run time is the host's, or one that the
// plugin has loaded.

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <cstdlib>
#include <cstring>

namespace {

char *copied(const char *text) { return strdup(text ? text : ""); }

// The error that is set, as "message" or "Kind: message"; the traceback of a defect is printed.
char *take_error()
{
  PyObject *kind, *value, *trace;
  PyErr_Fetch(&kind, &value, &trace);
  PyErr_NormalizeException(&kind, &value, &trace);
  PyObject *text = value ? PyObject_Str(value) : nullptr;
  const char *words = text ? PyUnicode_AsUTF8(text) : nullptr;
  char *answer = copied(words && *words ? words : "an error of Python without a message");
  Py_XDECREF(text);
  const bool expected = PyErr_GivenExceptionMatches(kind, PyExc_ValueError) ||
      PyErr_GivenExceptionMatches(kind, PyExc_OSError) ||
      PyErr_GivenExceptionMatches(kind, PyExc_RuntimeError);
  PyErr_Restore(kind, value, trace);
  if (expected)
    PyErr_Clear();
  else
    PyErr_PrintEx(0);
  return answer;
}

}    // namespace

extern "C" {

// Start the interpreter of an environment in a program that has none. Returns nullptr, or why not.
const char *strdyn_start_python(const char *executable)
{
  if (Py_IsInitialized()) return nullptr;
  PyConfig config;
  PyConfig_InitPythonConfig(&config);
  config.install_signal_handlers = 0;
  config.parse_argv = 0;
  PyStatus status = PyConfig_SetBytesString(&config, &config.program_name, executable);
  if (!PyStatus_Exception(status)) status = Py_InitializeFromConfig(&config);
  PyConfig_Clear(&config);
  if (PyStatus_Exception(status)) return status.err_msg ? status.err_msg : "no reason given";
  PyEval_SaveThread();    // from now on each call takes the lock
  return nullptr;
}

// Call a method: session.method(text, number, ...). Returns 0 with str() of its result in *answer,
// or 1 with the message of its error; the caller frees *answer.
//
// "" as the method makes the session: FixSession(capsule of `lammps`, text, whether this thread has
// the lock of Python between calls). "close" ends it, and never fails.
int strdyn_call(void **session, void *lammps, const char *method, const char *text,
                const long long *numbers, int n_numbers, char **answer)
{
  const PyGILState_STATE lock = PyGILState_Ensure();
  PyObject *result = nullptr;
  if (!*method) {
    PyObject *module = PyImport_ImportModule("strdyn_live.fix_session");
    PyObject *capsule = module ? PyCapsule_New(lammps, nullptr, nullptr) : nullptr;
    if (capsule) {
      result = PyObject_CallMethod(module, "FixSession", "Osi", capsule, text,
                                   (int) (lock == PyGILState_LOCKED));
      if (result) {
        *session = result;
        Py_INCREF(result);
      }
    }
    Py_XDECREF(capsule);
    Py_XDECREF(module);
  } else {
    PyObject *arguments = PyTuple_New(1 + n_numbers);
    PyTuple_SET_ITEM(arguments, 0, PyUnicode_DecodeUTF8(text, (Py_ssize_t) strlen(text), "replace"));
    for (int k = 0; k < n_numbers; k++)
      PyTuple_SET_ITEM(arguments, 1 + k, PyLong_FromLongLong(numbers[k]));
    PyObject *function = PyObject_GetAttrString((PyObject *) *session, method);
    if (function) result = PyObject_CallObject(function, arguments);
    Py_XDECREF(function);
    Py_DECREF(arguments);
  }
  const int failed = result == nullptr;
  if (failed) {
    *answer = take_error();
  } else {
    PyObject *words = *method ? PyObject_Str(result) : nullptr;
    *answer = copied(words ? PyUnicode_AsUTF8(words) : nullptr);
    Py_XDECREF(words);
    Py_DECREF(result);
  }
  if (strcmp(method, "close") == 0) Py_CLEAR(*(PyObject **) session);
  PyGILState_Release(lock);
  return failed;
}
}
